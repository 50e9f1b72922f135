import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { chipsOf, emptied, queryOf, type Filter } from './filter'
import { api } from '../../api/client'
import { useMay, useProfile } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { changed, useUrl } from '../../parts/search'

// Nothing is shown where a list is empty. That nothing was found and that nothing was looked at must not look alike.
export function Nothing({ filter }: { filter: Filter }) {
  const { t } = useTranslation('risks')
  const [, setUrl] = useUrl()
  const mayScan = useMay('scan')
  const mayAdd = useMay('manage-clusters')
  const target = queryOf(filter).target
  const gaps = api.useQuery('get', '/api/v1/gaps', { params: { query: { target, limit: 1 } } })
  const looked = api.useQuery('get', '/api/v1/overview', { params: { query: { target, days: 1 } } })
  const coverage = looked.data?.coverage
  const whole = useProfile().grants.some((g) => !g.namespace) // gaps are told to who sees whole clusters
  const never = coverage?.never ?? 0
  const unscanned = coverage && (coverage.targets === 0 || coverage.never === coverage.targets)
  const gapLink = (gaps.data?.items?.length ?? 0) > 0 && (
    <Link to="/gaps" search={changed({}, { target: filter.target })}>
      {t('gapsToo')}
    </Link>
  )
  if (coverage?.targets === 0)
    return (
      <EmptyState
        title={t('noCluster')}
        hint={t('noClusterHint')}
        action={
          mayAdd && (
            <Link to="/assets/clusters">
              <Button type="primary">{t('addCluster')}</Button>
            </Link>
          )
        }
      />
    )
  if (unscanned)
    return (
      <EmptyState
        title={t('neverScanned')}
        hint={t('neverScannedHint')}
        action={
          mayScan && (
            <Link to="/scans">
              <Button type="primary">{t('scanNow')}</Button>
            </Link>
          )
        }
      />
    )
  if (chipsOf(filter).length > 0)
    return (
      <EmptyState
        title={t('noMatch')}
        hint={
          <>
            <div>{t('noMatchHint')}</div>
            {gapLink}
          </>
        }
        action={<Button onClick={() => setUrl(emptied())}>{t('clear')}</Button>}
      />
    )
  return (
    <EmptyState
      title={t('noFindings')}
      hint={
        gapLink ? (
          <>
            <div>{t('noFindingsGaps')}</div>
            {gapLink}
          </>
        ) : (
          never > 0 ? t('someNever', { count: never }) : whole && gaps.data && t('noFindingsHint')
        )
      }
    />
  )
}
