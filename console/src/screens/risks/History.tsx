import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import { wordsOf } from './history'
import type { Schemas } from '../../api/client'
import { When } from '../../parts/When'

type Props = { finding: Schemas['FindingFull']; H: 'h2' | 'h3' }

// History tells what became of a finding, latest first: who, when and why.
export function History({ finding: f, H }: Props) {
  const { t } = useTranslation(['risks', 'words'])
  const events = [...f.history].reverse()
  return (
    <section>
      <H>{t('history')}</H>
      <ul className={css.history}>
        {events.map((e) => {
          const w = wordsOf(e)
          return (
            <li key={e.id}>
              <span className={css.when}>
                <When at={e.at} />
              </span>
              <div>
                {t(`event.${w.what}`, { who: e.user || t('somebody'), status: t(`words:status.${e.after as 'open'}`) })}
                {w.cause && <span className={css.soft}> · {t(`cause.${w.cause}`)}</span>}
                {e.note && <p className={css.note}>{e.note}</p>}
              </div>
            </li>
          )
        })}
        <li>
          <span className={css.when}>
            <When at={f.firstSeen} />
          </span>
          <div>{t('event.found')}</div>
        </li>
      </ul>
    </section>
  )
}
