import { useTranslation } from 'react-i18next'

import { changes } from '../../parts/changes'
import css from './Settings.module.css'
import type { Schemas } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { DiffView } from '../../parts/DiffView'
import { SlideOver } from '../../parts/SlideOver'
import { useFormat } from '../../text/format'

// AuditEntry shows one entry with what was before and after.
export function AuditEntry({ entry: e, onClose }: { entry: Schemas['Entry'] | undefined; onClose: () => void }) {
  const { t } = useTranslation('settings')
  const { dateTime } = useFormat()
  return (
    <SlideOver open={Boolean(e)} onClose={onClose} title={e?.object}>
      {e && (
        <div className={css.stack}>
          <dl className={css.facts}>
            <dt>{t('audit.at')}</dt>
            <dd>{dateTime(e.at)}</dd>
            <dt>{t('audit.actor')}</dt>
            <dd>{e.actor}</dd>
            <dt>{t('audit.action')}</dt>
            <dd>
              <code>{e.action}</code>
            </dd>
            <dt>{t('audit.remote')}</dt>
            <dd>{e.remote || '–'}</dd>
            <dt>{t('audit.request')}</dt>
            <dd>{e.request ? <><code>{e.request}</code> <Copy text={e.request} /></> : '–'}</dd>
          </dl>
          {e.before || e.after ? <DiffView label={t('audit.change')} diff={changes(e.before, e.after)} height={520} /> : <p className="text-soft">{t('audit.noChange')}</p>}
        </div>
      )}
    </SlideOver>
  )
}
