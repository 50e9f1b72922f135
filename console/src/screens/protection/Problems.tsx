import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Status } from './shapes'
import { sentence } from '../../parts/said'

// Problems are what is not as it should be now.
export function Problems({ list }: { list: Status['problemList'] }) {
  const { t } = useTranslation('protection')
  if (!list || list.length === 0) return null
  return (
    <Alert
      type="error"
      showIcon
      title={t('problems', { count: list.length })}
      description={
        <ul>
          {list.map((p, i) => (
            <li key={i}>
              {p.object && <code>{p.object}</code>} {sentence(p.reason)}{' '}
              {p.policyId && p.policyId !== '0' && (
                <Link to="/protection/policies/$id" params={{ id: p.policyId }}>
                  {t('toPolicy')}
                </Link>
              )}
            </li>
          ))}
        </ul>
      }
    />
  )
}
