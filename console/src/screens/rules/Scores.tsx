import { Table } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import { SideScroll } from '../../parts/SideScroll'
import { useFormat } from '../../text/format'

// Scores lists who rates a vulnerability how.
export function Scores({ v }: { v: Schemas['VulnerabilityFull'] }) {
  const { t } = useTranslation('rules')
  const { number } = useFormat()
  if (v.cvss.length === 0) return null
  return (
    <SideScroll label={t('score')} width={560}>
      <Table
        size="small"
        pagination={false}
        rowKey={(c) => c.source + (c.vector ?? '') + c.score}
        dataSource={v.cvss}
        columns={[
          { title: t('source'), dataIndex: 'source', width: 160 },
          { title: t('score'), dataIndex: 'score', width: 90, render: (n: number) => number(n, { minimumFractionDigits: 1 }) },
          { title: t('vector'), dataIndex: 'vector', render: (s?: string) => (s ? <code>{s}</code> : '—') },
        ]}
      />
    </SideScroll>
  )
}
