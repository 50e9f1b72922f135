import { CloseOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { isActive, valueText, type FileFinding } from './findings'
import css from './iac.module.css'
import { SeverityTag } from '../../parts/Severity'
import { When } from '../../parts/When'

// FindingDetail says of one finding what was found, why it matters and what to do.
export function FindingDetail({ finding: f, onClose }: { finding: FileFinding; onClose: () => void }) {
  const { t } = useTranslation(['iac', 'words'])
  const [family, rule] = f.rule.split('/')
  return (
    <aside className={css.detail} aria-label={t('finding')} aria-live="polite">
      <div className={css.bar}>
        <SeverityTag severity={f.severity} />
        <Button size="small" type="text" icon={<CloseOutlined />} aria-label={t('closeFinding')} onClick={onClose} />
      </div>
      <h2>{f.title}</h2>
      <p className={css.soft}>
        {f.line > 0 ? t('line', { line: f.line }) : t('wholeFile')}
        {f.object && <> · {f.object}</>}
        {f.container && <> · {t('container', { name: f.container })}</>}
        {!isActive(f) && <> · {t(`words:status.${f.status as 'ignored'}`)}</>}
      </p>
      <h3>{t('why')}</h3>
      <p>{f.message}</p>
      {f.evidence.length > 0 && (
        <>
          <h3>{t('evidence')}</h3>
          <dl className={css.evidence}>
            {f.evidence.map((e) => (
              <div key={e.path}>
                <dt>{e.path}</dt>
                <dd>
                  {t('found')} <code>{valueText(e.found) || t('missing')}</code>
                  {valueText(e.want) && (
                    <>
                      {' · '}
                      {t('want')} <code>{valueText(e.want)}</code>
                    </>
                  )}
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
      {f.remediation && (
        <>
          <h3>{t('fix')}</h3>
          <p>{f.remediation}</p>
        </>
      )}
      {f.mitigations?.map((m) => <p key={m}>{m}</p>)}
      <h3>{t('more')}</h3>
      <p className={css.row}>
        <Link to="/findings/$id" params={{ id: f.id }}>
          {t('toFinding')}
        </Link>
        {family && rule && (
          <Link to="/rules/$family/$rule" params={{ family, rule }}>
            {f.rule}
          </Link>
        )}
        <span className={css.soft}>
          {t('firstSeen')} <When at={f.firstSeen} />
        </span>
      </p>
    </aside>
  )
}
