import { Table, Tag } from 'antd'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import { Panel } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'

type One = Schemas['AffectedPackage']

const colours: Record<One['state'], string | undefined> = {
  fixed: 'success',
  affected: 'error',
  'will-not-fix': 'error',
  deferred: 'warning',
  'under-investigation': 'processing',
  'not-affected': undefined,
  'end-of-life': 'error',
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
      <Table<One & { key: number }>
        size="small"
        scroll={{ x: 760 }}
        dataSource={rows}
        pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
        columns={[
          { title: t('stream'), dataIndex: 'stream', width: 150 },
          { title: t('package'), dataIndex: 'package', render: (s: string) => <code>{s}</code> },
          { title: t('state'), dataIndex: 'state', width: 150, render: (s: One['state']) => <Tag color={colours[s]}>{t(`states.${s}`)}</Tag> },
          { title: t('fixedIn'), dataIndex: 'fixed', render: (list: string[] | undefined, p) => [list?.join(', ') ?? '—', p.subscription && ` (${p.subscription})`] },
          { title: t('advisory'), dataIndex: 'advisory', width: 180, render: (s?: string) => s ?? '—' },
        ]}
      />
    </Panel>
  )
}
