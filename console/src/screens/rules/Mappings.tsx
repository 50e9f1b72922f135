import { Link } from '@tanstack/react-router'
import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import { grouped } from './model'
import type { Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'

// Mappings lists the clauses that a rule decides, and the same check in other tools.
export function Mappings({ rule }: { rule: Schemas['RuleFull'] }) {
  const { t } = useTranslation('rules')
  const aliases = Object.entries(rule.aliases)
  if (rule.compliance.length === 0 && aliases.length === 0) return null
  return (
    <Panel title={t('mappings')}>
      <table style={{ borderSpacing: '0 6px' }}>
        <tbody>
          {grouped(rule.compliance).map(([framework, clauses]) => (
            <tr key={framework}>
              <th scope="row" style={{ textAlign: 'start', paddingInlineEnd: 16, fontWeight: 'normal', verticalAlign: 'top' }}>
                <Link to="/compliance/$framework" params={{ framework }}>
                  {framework}
                </Link>
              </th>
              <td>
                {clauses.map((c) => (
                  <Tag key={c.clause}>{c.clause}</Tag>
                ))}
              </td>
            </tr>
          ))}
          {aliases.map(([tool, ids]) => (
            <tr key={tool}>
              <th scope="row" style={{ textAlign: 'start', paddingInlineEnd: 16, fontWeight: 'normal', verticalAlign: 'top' }}>
                {t('inTool', { tool })}
              </th>
              <td>
                {ids.map((id) => (
                  <Tag key={id}>{id}</Tag>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
