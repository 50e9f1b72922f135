import { useTranslation } from 'react-i18next'

import { binaryState, byWorth } from './facts'
import type { Binary, Details } from './shapes'
import { Table } from './Table'
import { WithFacts } from './WithFacts'
import { WithHash } from './WithHash'
import blocks from '../../parts/Blocks.module.css'
import { Verdict } from '../../parts/Verdict'

// BinariesTab lists the programs of Kubernetes, of the runtime and of the network, wherever they lie or run.
export default function BinariesTab({ node }: { node: Details }) {
  const { t } = useTranslation('nodes')
  return (
    <WithFacts node={node}>
      {(facts) => (
        <div className={blocks.stack}>
          <p className="text-soft">{t('binariesLead')}</p>
          <Table
            label={t('tabs.binaries')}
            head={[t('component'), t('version'), t('genuineOf'), t('runs'), t('path'), t('from')]}
            none={t('noBinaries')}
            rows={[...(facts.binaries ?? [])].sort(byWorth).map((b) => ({ key: (b.container ?? '') + b.path + (b.running ? 'r' : ''), cells: cells(t, b) }))}
          />
        </div>
      )}
    </WithFacts>
  )
}

function cells(t: ReturnType<typeof useTranslation<'nodes'>>['t'], b: Binary) {
  const s = binaryState(b)
  return [
    <strong key="c">{b.component}</strong>,
    <span key="v" title={b.evidence}>
      {b.version || t('unknown')}
      {b.distribution && ` · ${b.distribution}`}
    </span>,
    <div key="g">
      <Verdict state={s.state} word={t(`binary.${s.word}`)} why={t(`binaryWhy.${s.word}`)} />
      {s.word === 'imitated' && <div className="text-soft">{b.genuine}</div>}
    </div>,
    b.running ? t('yes') : t('no'),
    <div key="p">
      <WithHash path={b.path} sha256={b.sha256} />
      {b.container && <div className="text-soft">{t('inside', { name: b.container })}</div>}
    </div>,
    b.package || b.module || '–',
  ]
}
