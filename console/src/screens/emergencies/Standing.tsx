import { useTranslation } from 'react-i18next'

import { looks, standing, verdicts, type Sums } from './verdicts'
import { Verdict } from '../../parts/Verdict'

const states = { exposed: 'bad', unknown: 'unknown', 'version-only': 'warn', 'not-looked': 'unknown', 'in-part': 'ended', clear: 'ok' } as const

// Standing is how it stands with an emergency, in one word.
export function Standing({ sums }: { sums: Sums }) {
  const { t } = useTranslation('emergencies')
  const s = standing(sums)
  return <Verdict state={states[s]} word={t(`standing.${s}`)} why={t(`standingHint.${s}`)} />
}

// VerdictTag is the verdict on one node, image or workload.
export function VerdictTag({ verdict }: { verdict: string }) {
  const { t } = useTranslation('emergencies')
  const known = verdicts.find((v) => v === verdict) ?? 'unknown'
  return <Verdict state={looks[known]} word={t(`verdict.${known}`)} why={t(`verdictHint.${known}`)} />
}
