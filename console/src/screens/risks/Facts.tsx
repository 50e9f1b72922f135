import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import type { Schemas } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { useFormat } from '../../text/format'

const classes = ['vendor', 'upstream', 'changelog', 'inferred'] as const
const states = ['fixed', 'affected', 'will-not-fix', 'deferred', 'under-investigation', 'end-of-life'] as const

// Facts are what is known of a vulnerability, and how well.
export function Facts({ vulnerability: v, H }: { vulnerability: Schemas['Vulnerable']; H: 'h2' | 'h3' }) {
  const { t } = useTranslation('risks')
  const { number, percent } = useFormat()
  const rows: [string, ReactNode][] = []
  const add = (title: string, value: ReactNode) => {
    if (value) rows.push([title, value])
  }
  const known = <T extends string>(list: readonly T[], value: string): T | undefined => list.find((x) => x === value)
  const evidence = known(classes, v.evidenceClass)
  const state = known(states, v.state)
  add(t('fact.id'), [v.id, ...(v.aliases ?? [])].join(', '))
  add(t('fact.package'), `${v.package} ${v.version}`)
  add(t('fact.fixed'), v.fixedVersion ? <strong>{v.fixedVersion}</strong> : t('noFixYet'))
  add(t('fact.state'), state && t(`state.${state}`))
  add(t('fact.cvss'), v.cvss ? number(v.cvss, { minimumFractionDigits: 1 }) : undefined)
  add(
    t('fact.vector'),
    v.vector && (
      <>
        <code>{v.vector}</code> <Copy text={v.vector} />
      </>
    ),
  )
  add(t('fact.epss'), v.epss !== undefined && v.epss > 0 ? percent(v.epss) : undefined)
  add(t('fact.kev'), v.kev ? t('yes') : t('no'))
  add(t('fact.evidence'), evidence ? t(`evidenceClass.${evidence}`) : v.evidenceClass)
  add(t('fact.source'), [v.source, v.advisory].filter(Boolean).join(' · '))
  add(t('fact.path'), v.path && <code>{v.path}</code>)
  add(t('fact.owner'), v.owner)
  add(t('fact.subscription'), v.subscription)
  add(t('fact.symbols'), v.symbols === 'linked' ? t('linked') : v.symbols === 'not-linked' ? t('notLinked') : undefined)
  add(t('fact.notes'), v.notes?.join('; '))
  return (
    <section>
      <H>{t('facts')}</H>
      <dl className={css.facts}>
        {rows.map(([title, value]) => [<dt key={`${title}-t`}>{title}</dt>, <dd key={`${title}-d`}>{value}</dd>])}
      </dl>
    </section>
  )
}
