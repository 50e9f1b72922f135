import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import type { Body } from './model'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// Summary says how many paths there are, of what, and how old that is. The numbers of workloads are of whole clusters.
export function Summary({ body, whole }: { body: Body; whole: boolean }) {
  const { t } = useTranslation('attack')
  const { number } = useFormat()
  const sum = (of: (g: Body['graphs'][number]) => number) => body.graphs.reduce((n, g) => n + of(g), 0)
  const stale = body.graphs.filter((g) => g.stale)
  const oldest = body.graphs.map((g) => g.builtAt).sort()[0]
  return (
    <>
      <p className={css.summary} role="status">
        <strong>{t('count', { count: body.total, number: number(body.total) })}</strong>
        {whole && ` · ${t('exposed', { count: sum((g) => g.exposed), number: number(sum((g) => g.exposed)) })}`}
        {whole && ` · ${t('entries', { count: sum((g) => g.entries), number: number(sum((g) => g.entries)) })}`}
        {oldest && (
          <>
            {' · '}
            {t('built')} <When at={oldest} />
          </>
        )}
        {body.paths.length < body.total && ` · ${t('shown', { number: number(body.paths.length) })}`}
      </p>
      {stale.length > 0 && <Alert type="warning" showIcon title={t('stale', { names: stale.map((g) => g.target).join(', ') })} />}
    </>
  )
}
