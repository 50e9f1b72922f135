import { Table, Tag } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { toned } from './model'
import type { Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { SideScroll } from '../../parts/SideScroll'

type One = Schemas['AffectedPackage']

// tones are colours of the console's own, whose contrast is enough in both themes.
const tones: Record<One['state'], string> = {
  fixed: 'good',
  affected: 'critical',
  'will-not-fix': 'critical',
  deferred: 'medium',
  'under-investigation': 'low',
  'not-affected': 'info',
  'end-of-life': 'critical',
}

// Packages lists what publishers say of packages: in which it is, and the version that fixes it.
export function Packages({ v }: { v: Schemas['VulnerabilityFull'] }) {
  const { t } = useTranslation('rules')
  const [search, setSearch] = useState('')
  const rows = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean)
    return v.packages.map((p, i) => ({ ...p, key: i })).filter((p) => words.every((w) => `${p.stream} ${p.package} ${p.advisory ?? ''}`.toLowerCase().includes(w)))
  }, [v.packages, search])
  if (v.packages.length === 0) return null
  return (
    <Panel title={t('packages')} extra={<SearchBox label={t('searchPackages')} value={search} onChange={setSearch} />}>
      {v.packagesCut && <p>{t('packagesCut')}</p>}
      <SideScroll label={t('packages')} width={760}>
        <Table<One & { key: number }>
          size="small"
          dataSource={rows}
          pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
          columns={[
            { title: t('stream'), dataIndex: 'stream', width: 150 },
            { title: t('package'), dataIndex: 'package', render: (s: string) => <code>{s}</code> },
            { title: t('state'), dataIndex: 'state', width: 150, render: (s: One['state']) => <Tag style={toned(tones[s])}>{t(`states.${s}`)}</Tag> },
            { title: t('fixedIn'), dataIndex: 'fixed', render: (list: string[] | undefined, p) => [list?.join(', ') ?? '—', p.subscription && ` (${p.subscription})`] },
            { title: t('advisory'), dataIndex: 'advisory', width: 180, render: (s?: string) => s ?? '—' },
          ]}
        />
      </SideScroll>
    </Panel>
  )
}
