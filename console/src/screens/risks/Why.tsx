import { Link } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import { api, type Schemas } from '../../api/client'

type Props = { finding: Schemas['FindingFull']; H: 'h2' | 'h3' }

// Why says why a rule matters, in the words of the rule library.
export function Why({ finding: f, H }: Props) {
  const { t } = useTranslation('risks')
  const [family, rule] = f.rule.split('/')
  const query = api.useQuery('get', '/api/v1/rules/{family}/{rule}', { params: { path: { family: family ?? '', rule: rule ?? '' } } }, { enabled: !!rule, staleTime: Infinity, retry: false })
  if (!rule || query.error || (query.data && !query.data.why)) return null
  return (
    <section>
      <H>{t('why')}</H>
      {query.data ? <p className={css.message}>{query.data.why}</p> : <Skeleton active title={false} paragraph={{ rows: 2 }} />}
      {query.data && (
        <Link to="/rules/$family/$rule" params={{ family: family!, rule }}>
          {t('toRule')}
        </Link>
      )}
    </section>
  )
}
