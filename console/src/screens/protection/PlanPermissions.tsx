import { CheckOutlined, CloseOutlined } from '@ant-design/icons'
import { Checkbox } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Plan } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Copy } from '../../parts/Copy'
import { useFormat } from '../../text/format'

// PlanPermissions are the permissions that protection needs: what is missing stands first, with what grants it.
export function PlanPermissions({ plan: p }: { plan: Plan }) {
  const { t } = useTranslation('protection')
  const { number } = useFormat()
  const [all, setAll] = useState(false)
  const list = p.permissions ?? []
  const missing = list.filter((x) => !x.allowed)
  const shown = all ? [...missing, ...list.filter((x) => x.allowed)] : missing
  return (
    <section aria-label={t('permission.title')} className={blocks.stack}>
      <strong>{t('permission.title')}</strong>
      <p role="status" className={p.missing > 0 ? blocks.bad : blocks.good}>
        {p.missing > 0 ? t('permission.missing', { count: p.missing, number: number(p.missing), all: number(list.length) }) : t('permission.all', { count: list.length, number: number(list.length) })}
      </p>
      <Checkbox checked={all} onChange={(e) => setAll(e.target.checked)}>
        {t('permission.showAll')}
      </Checkbox>
      {shown.length > 0 && (
        <div className={blocks.scroll} style={{ maxHeight: 320 }} tabIndex={0} role="region" aria-label={t('permission.title')}>
          <table className={blocks.table}>
            <thead>
              <tr>
                <th scope="col">{t('permission.allowed')}</th>
                <th scope="col">{t('permission.resource')}</th>
                <th scope="col">{t('permission.verb')}</th>
                <th scope="col">{t('permission.for')}</th>
                <th scope="col">{t('permission.advice')}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((x) => (
                <tr key={[x.group, x.resource, x.verb, x.namespace, x.name].join('/')}>
                  <td className={x.allowed ? blocks.good : blocks.bad}>
                    {x.allowed ? <CheckOutlined aria-hidden /> : <CloseOutlined aria-hidden />} {x.allowed ? t('yes') : x.optional ? t('permission.optional') : t('no')}
                  </td>
                  <td>
                    <code>{[x.resource, x.group].filter(Boolean).join('.')}</code> {x.namespace}
                  </td>
                  <td>{x.verb}</td>
                  <td>{x.for}</td>
                  <td>{x.advice || '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {p.missing > 0 && p.grant && (
        <details>
          <summary className={blocks.summary}>{t('permission.grant')}</summary>
          <CodeView label={t('permission.grant')} text={p.grant} height={260} />
          <Copy text={p.grant} label={t('copyYaml')} />
        </details>
      )}
    </section>
  )
}
