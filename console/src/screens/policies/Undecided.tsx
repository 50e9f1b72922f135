import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { inWords, type Live } from './preview'
import blocks from '../../parts/Blocks.module.css'
import { useFormat } from '../../text/format'

// Undecided is what came to no verdict: it is neither good nor bad, and never looks like good.
export function Undecided({ list }: { list: Live['undecided'] | undefined }) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  if (!list || list.length === 0) return null
  return (
    <details>
      <summary className={blocks.summary}>{t('preview.undecided', { count: list.length, number: number(list.length) })}</summary>
      <ul className={blocks.list}>
        {list.slice(0, 50).map((u, i) => (
          <li key={i}>
            <ActionTag action={u.action} /> <code>{u.image || u.rule}</code> {inWords(u.text)} <span className="text-soft">{t('preview.objects', { count: u.count, number: number(u.count) })}</span>
          </li>
        ))}
      </ul>
    </details>
  )
}
