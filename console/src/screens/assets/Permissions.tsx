import { CheckOutlined, CloseOutlined } from '@ant-design/icons'
import { Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import type { Permission } from './shapes'
import { CodeView } from '../../parts/CodeView'
import { Copy } from '../../parts/Copy'
import { useFormat } from '../../text/format'

// Permissions is the self-check: what the server may read, what needs it, and what grants the rest. What is missing stands first.
export function Permissions({ list, grant }: { list: Permission[]; grant?: string }) {
  const { t } = useTranslation('assets')
  const { number } = useFormat()
  const missing = list.filter((p) => !p.allowed)
  const [all, setAll] = useState(false)
  const shown = all ? [...missing, ...list.filter((p) => p.allowed)] : missing
  if (list.length === 0) return <p>{t('noPermissions')}</p>
  return (
    <div className={css.stack}>
      <p role="status" className={missing.length === 0 ? css.good : css.bad}>
        {missing.length === 0 ? t('allAllowed', { count: list.length, number: number(list.length) }) : t('someMissing', { count: missing.length, number: number(missing.length), all: number(list.length) })}
      </p>
      <Checkbox checked={all} onChange={(e) => setAll(e.target.checked)}>
        {t('showAllowed')}
      </Checkbox>
      {shown.length > 0 && (
        <div className={css.scroll} tabIndex={0} role="region" aria-label={t('permissions')}>
          <table className={css.table}>
            <thead>
              <tr>
                <th scope="col">{t('allowed')}</th>
                <th scope="col">{t('resource')}</th>
                <th scope="col">{t('verb')}</th>
                <th scope="col">{t('feature')}</th>
                <th scope="col">{t('reads')}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((p) => (
                <tr key={`${p.group}/${p.resource}/${p.verb}`}>
                  <td>
                    {p.allowed ? (
                      <span className={css.good}>
                        <CheckOutlined aria-hidden /> {t('yes')}
                      </span>
                    ) : (
                      <span className={css.bad}>
                        <CloseOutlined aria-hidden /> {t('no')}
                      </span>
                    )}
                  </td>
                  <td>
                    <code>{p.group ? `${p.resource}.${p.group}` : p.resource}</code>
                  </td>
                  <td>{p.verb}</td>
                  <td>{t(`features.${p.feature}`)}</td>
                  <td>{p.reads}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {grant && (
        <>
          <div className={css.row}>
            <strong>{t('grantHint')}</strong>
            <Copy text={grant} label={t('copyGrant')} />
          </div>
          <CodeView label={t('grantHint')} text={grant} height={260} />
        </>
      )}
    </div>
  )
}
