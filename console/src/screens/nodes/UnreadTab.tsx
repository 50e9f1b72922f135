import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { unread } from './facts'
import { checkOf, codeOf, type Details, type Skip } from './shapes'
import { Table } from './Table'
import { useFacts } from './useFacts'
import { useSaid } from '../../app/said/said'
import blocks from '../../parts/Blocks.module.css'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { Panel } from '../../parts/Page'

const needed = ['files', 'proc', 'socket', 'network', 'protected'] as const

// UnreadTab lists what was not looked at on a node, why, and what each check needs: that is not "nothing found".
export default function UnreadTab({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const { t: word } = useTranslation('words')
  const said = useSaid()
  const facts = useFacts(n)
  if (facts.error && !facts.none) return <Problem error={facts.error} retry={() => void facts.refetch()} />
  if (!facts.none && !facts.data) return <Skeleton active title={false} paragraph={{ rows: 8, width: '100%' }} />
  const list = unread(n.needs, facts.data?.skipped ?? [])
  return (
    <div className={blocks.stack}>
      {facts.none && <EmptyState title={t('noFacts')} hint={t(`todo.${n.state === 'protected' ? 'waiting' : n.state}`)} />}
      {!facts.none && list.length === 0 && <EmptyState title={t('allRead')} hint={t('allReadHint')} />}
      <Table
        label={t('tabs.unread')}
        head={[t('check'), t('needs'), t('reason'), t('class'), t('toDo')]}
        rows={list.map((s, i) => ({
          key: `${i}-${s.check}`,
          cells: [<Check key="c" of={s} />, said(s.needs), <Said key="r" text={s.reason} />, word(`gap.${codeOf(s.code)}`), s.lacks ? t(`lacks.${s.lacks}`) : t(`todoOf.${codeOf(s.code)}`)],
        }))}
      />
      <Panel title={t('prerequisites')}>
        <dl>
          {needed.map((k) => (
            <div key={k}>
              <dt>
                <strong>{t(`prerequisite.${k}`)}</strong>
              </dt>
              <dd className="text-soft">{t(`prerequisiteWhy.${k}`)}</dd>
            </div>
          ))}
        </dl>
      </Panel>
    </div>
  )
}

// Check names a check, with its name among the facts.
function Check({ of: s }: { of: Skip }) {
  const { t } = useTranslation('nodes')
  const name = checkOf(s.check)
  return (
    <>
      {name && <div>{t(`checkOf.${name}`)}</div>}
      <code>{s.check}</code>
    </>
  )
}

// Said is a sentence of the agent in the user's language, with its own words below where they are others.
function Said({ text }: { text: string }) {
  const said = useSaid()(text)
  return (
    <>
      <div>{said}</div>
      {said !== text && (
        <div className="text-soft" lang="en">
          {text}
        </div>
      )}
    </>
  )
}
