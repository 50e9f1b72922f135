import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { states, type State } from './shapes'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { useFormat } from '../../text/format'

type Props = { target: number[] | undefined; chosen: State[]; choose: (states: State[]) => void }

// StateBar counts the nodes of each state; a count filters the list.
export function StateBar({ target, chosen, choose }: Props) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  const counts = api.useQuery('get', '/api/v1/nodes/counts', { params: { query: { target } } }, { placeholderData: (old) => old })
  return (
    <div className={blocks.row} role="group" aria-label={t('byState')}>
      {states.map((s) => {
        const on = chosen.includes(s)
        return (
          <Button key={s} type={on ? 'primary' : 'default'} aria-pressed={on} title={t(`stateHint.${s}`)} onClick={() => choose(on ? chosen.filter((c) => c !== s) : [...chosen, s])}>
            {t(`state.${s}`)} {counts.data ? number(counts.data[s]) : '…'}
          </Button>
        )
      })}
    </div>
  )
}
