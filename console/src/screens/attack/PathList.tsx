import { Button } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import type { Body, Path } from './model'
import { Steps } from './Steps'
import { SeverityTag } from '../../parts/Severity'

type Props = { body: Body; paths: Path[]; open?: string; ended: Set<string>; choose: (id: string | undefined) => void }

const first = 12

// PathList ranks the paths; the open one shows its steps with their proof.
export function PathList({ body, paths, open, ended, choose }: Props) {
  const { t } = useTranslation('attack')
  const [all, setAll] = useState(false)
  const some = all ? paths : paths.filter((p, i) => i < first || p.id === open)
  return (
    <>
      <ol className={css.paths} aria-label={t('ranked')}>
        {some.map((p) => {
          const shown = p.id === open
          return (
            <li key={p.id} className={`${css.path} ${shown ? css.open : ''}`}>
              <h3 className={css.head}>
                <button type="button" className={css.choose} aria-expanded={shown} onClick={() => choose(shown ? undefined : p.id)}>
                  <SeverityTag severity={p.severity} />
                  <span className={css.name}>{p.title}</span>
                  <span className={css.score} title={t('score')}>
                    <span className="unseen">{t('score')} </span>
                    {p.score}
                  </span>
                </button>
              </h3>
              <div className={css.reasons}>
                {p.reasons.join(' · ')}
                {(p.alike ?? 0) > 0 && <span className={css.alike}> {t('alike', { count: p.alike })}</span>}
                {ended.has(p.id) && <strong className={css.ended}> {t('endedByCut')}</strong>}
              </div>
              {shown && <Steps body={body} path={p} />}
            </li>
          )
        })}
      </ol>
      {some.length < paths.length && (
        <Button className={css.more} onClick={() => setAll(true)}>
          {t('showMore', { count: paths.length - some.length })}
        </Button>
      )}
    </>
  )
}
