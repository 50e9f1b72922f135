import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './iac.module.css'
import { Copy } from '../../parts/Copy'
import { Panel } from '../../parts/Page'

// Ci tells the command that makes the same check in a pipeline.
export function Ci({ project }: { project: string }) {
  const { t } = useTranslation('iac')
  const server = `export STOCKADE_URL=${location.origin}\nexport STOCKADE_TOKEN=…\nstockade scan iac . --server --project ${project}`
  const local = 'stockade scan iac . --fail-on high -o table -o sarif=stockade.sarif'
  return (
    <div className={css.stack}>
      <Panel title={t('ciServer')} extra={<Copy text={server} label={t('copyCommand')} />}>
        <p className={css.prose}>
          {t('ciServerWhy')} <Link to="/settings/$section" params={{ section: 'tokens' }}>{t('makeToken')}</Link>
        </p>
        <pre className={css.command} tabIndex={0}>
          {server}
        </pre>
      </Panel>
      <Panel title={t('ciLocal')} extra={<Copy text={local} label={t('copyCommand')} />}>
        <p>{t('ciLocalWhy')}</p>
        <pre className={css.command} tabIndex={0}>
          {local}
        </pre>
      </Panel>
    </div>
  )
}
