import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import type { Schemas } from '../../api/client'
import { Copy } from '../../parts/Copy'
import { When } from '../../parts/When'

// Place says what a finding is about, with links to it.
export function Place({ finding: f }: { finding: Schemas['FindingFull'] }) {
  const { t } = useTranslation(['risks', 'words'])
  const r = f.document.resource
  const rows: [string, ReactNode][] = []
  const add = (title: string, value: ReactNode) => {
    if (value) rows.push([title, value])
  }
  if (f.targetKind === 'project')
    add(
      t('words:asset.project'),
      <Link to="/iac/$project" params={{ project: f.target }}>
        {f.target}
      </Link>,
    )
  else
    add(
      t('words:asset.cluster'),
      <Link to="/clusters/$id" params={{ id: f.targetId }}>
        {f.target}
      </Link>,
    )
  add(t('words:asset.namespace'), f.namespace && <Link to="/risks" search={{ target: f.targetId, namespace: f.namespace, view: 'findings' }}>{f.namespace}</Link>)
  add(
    r.kind || t('words:asset.object'),
    r.name && (
      <>
        <Link to="/risks" search={{ asset: f.assetId, view: 'findings' }}>
          {r.name}
        </Link>{' '}
        <Copy text={r.name} />
      </>
    ),
  )
  add(t('container'), r.container)
  add(t('words:asset.node'), r.node)
  add(
    t('words:asset.image'),
    r.image && (
      <>
        {r.digest ? (
          <Link to="/images/$digest" params={{ digest: r.digest }}>
            {r.image}
          </Link>
        ) : (
          r.image
        )}{' '}
        <Copy text={r.digest ? `${r.image}@${r.digest}` : r.image} />
      </>
    ),
  )
  add(t('layer'), r.layer && <code>{r.layer}</code>)
  add(t('words:asset.file'), r.file && <code>{r.file + (r.line ? `:${r.line}` : '')}</code>)
  add(t('owner'), r.owner && `${r.owner.kind} ${r.owner.name}`)
  add(t('col.firstSeen'), <When at={f.firstSeen} />)
  add(t('col.lastSeen'), <When at={f.lastSeen} />)
  return (
    <dl className={css.facts}>
      {rows.map(([title, value]) => [<dt key={`${title}-t`}>{title}</dt>, <dd key={`${title}-d`}>{value}</dd>])}
    </dl>
  )
}
