import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { nameOf } from './Buckets'
import { inWords, type Preview } from './preview'
import css from './policies.module.css'
import blocks from '../../parts/Blocks.module.css'
import { useFormat } from '../../text/format'

type Diff = NonNullable<Preview['diff']>
const most = 100

// Changes tells what one version hits and the other does not.
export function Changes({ diff }: { diff: Diff }) {
  const { t } = useTranslation('policies')
  const { number } = useFormat()
  const part = (name: 'added' | 'removed') => {
    const list = diff[name] ?? []
    return (
      <section aria-label={t(`replay.${name}`, { count: list.length, number: number(list.length) })} className={blocks.stack}>
        <strong>
          {name === 'added' ? '+' : '−'} {t(`replay.${name}`, { count: list.length, number: number(list.length) })}
        </strong>
        <ul className={css.owners}>
          {list.slice(0, most).map((c, i) => (
            <li key={i}>
              {c.was ? <ActionTag action={c.was} /> : <span className="text-soft">{t('replay.notHit')}</span>} → {c.action ? <ActionTag action={c.action} /> : <span className="text-soft">{t('replay.notHit')}</span>} {c.cluster}: {nameOf(c)} · {inWords(c.title)}
            </li>
          ))}
          {list.length > most && <li className="text-soft">{t('scopeWords.more', { count: list.length - most })}</li>}
        </ul>
      </section>
    )
  }
  return (
    <div className={blocks.two}>
      {part('added')}
      {part('removed')}
      {diff.cut && <span className={blocks.warn}>{t('replay.cut')}</span>}
    </div>
  )
}
