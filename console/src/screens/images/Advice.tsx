import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { vulnerabilityKinds, type Image } from './model'
import { Origin } from './Origin'
import { keep } from './Split'
import { Panel } from '../../parts/Page'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const shown = 10

// Advice lists the upgrades that clear most vulnerabilities.
export function Advice({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  const { upgrades, more, clears, rebase } = image.advice
  const all = vulnerabilityKinds.reduce((n, kind) => n + (image.kinds[kind] ?? 0), 0)
  const rest = Math.max(0, upgrades.length - shown) + (more ?? 0)
  return (
    <Panel title={t('advice.title')}>
      <p style={{ marginTop: 0 }}>{all === 0 ? t('advice.clean') : clears === 0 ? t('advice.none') : t('advice.lead', { clears: number(clears), all: number(all) })}</p>
      {rebase && rebase.clears > 0 && <p>{t('advice.rebase', { clears: number(rebase.clears), all: number(rebase.of) })}</p>}
      {upgrades.length > 0 && (
        <div className={css.wide} tabIndex={0} role="region" aria-label={t('advice.title')}>
          <table className={css.plain}>
            <thead>
              <tr>
                <th scope="col">{t('advice.package')}</th>
                <th scope="col">{t('advice.to')}</th>
                <th scope="col">{t('advice.clears')}</th>
              </tr>
            </thead>
            <tbody>
              {upgrades.slice(0, shown).map((u) => (
                <tr key={u.package + u.from + (u.type ?? '')}>
                  <td>
                    <Link to="." search={keep(image, { tab: 'vulnerabilities', package: u.package, version: u.from, fixable: 'true' })} title={(u.paths ?? []).join('\n')}>
                      {u.package}
                    </Link>
                    <div>
                      <Origin base={u.base} layer={u.layer} />{' '}
                      {u.kev ? (
                        <span className={css.kev}>
                          · {number(u.kev)} {t('advice.kev')}
                        </span>
                      ) : null}
                    </div>
                  </td>
                  <td className={css.code}>
                    <div>{u.from}</div>→ <strong>{u.to}</strong>
                  </td>
                  <td>
                    <SeverityCounts counts={u.severity} link={(severity) => ({ to: '.', search: keep(image, { tab: 'vulnerabilities', package: u.package, version: u.from, severity, fixable: 'true' }) })} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rest > 0 && (
        <p style={{ marginBottom: 0 }}>
          <Link to="." search={keep(image, { tab: 'packages', vulnerable: 'true' })}>
            {t('advice.more', { count: rest, number: number(rest) })}
          </Link>
        </p>
      )}
    </Panel>
  )
}
