import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { AdvisoryFeeds, AdvisoryStreams } from './AdvisoryTables'
import { AdvisoryImport } from './AdvisoryImport'
import { AdvisorySource } from './AdvisorySource'
import { AdvisoryUpdates } from './AdvisoryUpdates'
import css from './Settings.module.css'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { Copy } from '../../parts/Copy'
import { Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { Verdict } from '../../parts/Verdict'
import { useFormat } from '../../text/format'

export type Data = Schemas['AdvisoryData']

export const path = '/api/v1/advisories'

// Advisories shows what scans know of vulnerabilities, how old it is, and how a newer database comes.
export default function Advisories() {
  const may = useMay('manage-settings')
  const query = api.useQuery('get', path, undefined, { refetchInterval: (q) => (q.state.data?.busy ? 1000 : 60_000) })
  if (query.isPending) return <Skeleton active paragraph={{ rows: 10 }} />
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  const data = query.data
  return (
    <>
      <Summary data={data} />
      {may && <AdvisoryImport data={data} />}
      {may && <AdvisorySource data={data} />}
      <AdvisoryStreams data={data} />
      <AdvisoryFeeds data={data} />
      {may && <AdvisoryUpdates data={data} />}
    </>
  )
}

function Summary({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { number, bytes, dateTime, relative } = useFormat()
  return (
    <Panel title={t('advisories.title')}>
      <div className={css.stack}>
        {!data.present && <Alert type="error" showIcon title={t('advisories.none')} description={t('advisories.noneHint')} />}
        {data.problem && <Alert type="warning" showIcon title={t('advisories.problem')} description={data.problem} />}
        {data.present && (
          <dl className={css.facts}>
            <dt>{t('advisories.age')}</dt>
            <dd>
              <Verdict state={data.state} word={relative(data.builtAt ?? '')} /> <span className="text-soft">{dateTime(data.builtAt ?? '')}</span>
            </dd>
            <dt>{t('advisories.signature')}</dt>
            <dd>
              <Signature data={data} />
            </dd>
            <dt>{t('advisories.size')}</dt>
            <dd>{t('advisories.sizeText', { rows: number(data.rows), packages: number(data.packages), vulnerabilities: number(data.vulnerabilities), bytes: bytes(data.bytes) })}</dd>
            <dt>{t('advisories.texts')}</dt>
            <dd>{data.texts ? t('yes') : t('advisories.noTexts')}</dd>
            <dt>{t('advisories.digest')}</dt>
            <dd>
              <code>{data.digest?.slice(0, 16)}…</code> <Copy text={data.digest ?? ''} />
            </dd>
          </dl>
        )}
      </div>
    </Panel>
  )
}

function Signature({ data }: { data: Data }) {
  const { t } = useTranslation('settings')
  const { state, key, trustedKeys } = data.signature
  const trusted = trustedKeys ?? []
  return (
    <>
      <Verdict state={state === 'trusted' ? 'ok' : 'warn'} word={t(`advisories.sign.${state}`, { key: key ?? '' })} wraps />
      <div className="text-soft">{trusted.length > 0 ? t('advisories.trusted', { keys: trusted.join(' · ') }) : t('advisories.anyKey')}</div>
    </>
  )
}
