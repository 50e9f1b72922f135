import { ReloadOutlined } from '@ant-design/icons'
import { Alert, Button, Skeleton, Tag } from 'antd'
import { useMemo, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { api, type Schemas } from '../api/client'
import { CodeView } from './CodeView'
import { Copy } from './Copy'
import css from './EvidenceView.module.css'
import { Problem } from './Problem'
import { said, sentence } from './said'
import { When } from './When'

type Place = Schemas['ObjectBit']

// EvidenceView shows the object that a finding is about, as it is now: the faulty lines marked, what was found and what is needed.
export function EvidenceView({ findingId, height = 420 }: { findingId: string; height?: number }) {
  const { t } = useTranslation('parts')
  const query = api.useQuery('get', '/api/v1/findings/{id}/object', { params: { path: { id: Number(findingId) } } }, { staleTime: 60_000 })
  if (query.isPending) return <Skeleton active paragraph={{ rows: 10 }} title={false} style={{ minHeight: height }} />
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  const again = (
    <Button size="small" icon={<ReloadOutlined />} loading={query.isFetching} onClick={() => void query.refetch()}>
      {t('evidence.again')}
    </Button>
  )
  return <ObjectEvidence object={query.data} height={height} again={again} />
}

// bare: a place without a value is not one where nothing is set, but about what the value names, such as an image.
type ObjectProps = { object: Schemas['ObjectView']; height?: number; again?: ReactNode; bare?: boolean }

// ObjectEvidence shows an object with its faulty lines, and where it is from.
export function ObjectEvidence({ object, height = 420, again, bare }: ObjectProps) {
  const { t } = useTranslation('parts')
  const [focus, setFocus] = useState<number>()
  const marks = useMemo(() => (object.marks ?? []).filter((m) => m.line > 0).map((m) => ({ line: m.line, endLine: m.endLine, note: m.message })), [object])
  if (object.state === 'unavailable' || object.yaml === '')
    return <Alert type="info" showIcon title={t('evidence.unavailable')} description={sentence(object.reason || t('evidence.notStored'))} action={again} />
  return (
    <div className={css.stack}>
      <div className={css.head}>
        <strong className={css.name}>{object.name}</strong>
        <Tag>{t(`evidence.${object.state}`)}</Tag>
        <span className="text-soft">
          {t('evidence.read')} <When at={object.readAt} />
        </span>
        {again}
        <Copy text={object.yaml} label={t('evidence.copy')} />
      </div>
      {object.reason && <Alert type="warning" showIcon title={sentence(object.reason)} />}
      {object.marks.length > 0 && <Places places={object.marks} onShow={setFocus} bare={bare} />}
      <CodeView label={t('evidence.object')} text={object.yaml} firstLine={object.firstLine} marks={marks} focus={focus} height={height} />
      <div className={css.small}>{t('evidence.hidden')}</div>
    </div>
  )
}

const blank = (v: unknown) => v === undefined || v === null

// Places lists each faulty place with what stands there and what is needed.
function Places({ places, onShow, bare }: { places: Place[]; onShow: (line: number) => void; bare?: boolean }) {
  const { t } = useTranslation('parts')
  const [all, setAll] = useState(false)
  const shown = all ? places : places.slice(0, 5)
  return (
    <div className={css.places}>
      {shown.map((m, i) => (
        <dl key={`${m.path}-${i}`} className={css.place}>
          <div>
            <dt>{t('evidence.path')}</dt>
            <dd>
              <code>{m.path || '—'}</code>{' '}
              {m.line > 0 && (
                <button type="button" className={css.line} onClick={() => onShow(m.line)}>
                  {t('evidence.line', { line: m.line })}
                </button>
              )}
            </dd>
          </div>
          {!(bare && blank(m.found) && blank(m.want)) && (
            <div>
              <dt>{t('evidence.found')}</dt>
              <dd className={css.found}>{blank(m.found) ? <em>{t('evidence.missing')}</em> : <code>{said(m.found)}</code>}</dd>
            </div>
          )}
          {!blank(m.want) && (
            <div>
              <dt>{t('evidence.want')}</dt>
              <dd className={css.want}>
                <code>{said(m.want)}</code>
              </dd>
            </div>
          )}
        </dl>
      ))}
      {places.length > shown.length && (
        <Button size="small" onClick={() => setAll(true)}>
          {t('evidence.whole')}
        </Button>
      )}
    </div>
  )
}
