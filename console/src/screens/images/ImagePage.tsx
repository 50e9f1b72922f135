import { DownOutlined, DownloadOutlined, ExclamationCircleOutlined } from '@ant-design/icons'
import { useParams } from '@tanstack/react-router'
import { Alert, Button, Dropdown, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Facts } from './Facts'
import { Findings } from './Findings'
import { IdleRisks } from './IdleRisks'
import css from './images.module.css'
import { Layers } from './Layers'
import { isKey, otherKinds, shortDigest, vulnerabilityKinds, type Image } from './model'
import { Overview } from './Overview'
import { Packages } from './Packages'
import { Pick } from './Pick'
import { Unread } from './Unread'
import { Uses } from './Uses'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { Copy } from '../../parts/Copy'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// Filters of the lists below the tabs: another tab begins without them.
const none = { package: '', version: '', path: '', severity: '', origin: '', layer: '', fixable: '', kev: '', q: '', type: '', vulnerable: '', sort: '' }

// ImagePage shows one image; the address has its digest, or the id of an asset where no digest is known.
export default function ImagePage() {
  const { digest: key } = useParams({ strict: false }) as { digest: string }
  const { t } = useTranslation('images')
  const [search, set] = useUrl()
  const cluster = Number(search.cluster) || undefined
  const query = api.useQuery('get', '/api/v1/images/{digest}', { params: { path: { digest: key }, query: { target: cluster } } }, { enabled: isKey(key) })
  useLive(['task'], ['/api/v1/images/{digest}', '/api/v1/images/{digest}/findings', '/api/v1/images/{digest}/packages'])
  const image = query.data
  const title = image?.references[0] ?? shortDigest(key)
  const parents = [{ title: t('all'), to: '/images' }]
  if (query.error)
    return (
      <Page title={title} parents={parents}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (!image)
    return (
      <Page title={title} parents={parents}>
        <Skeleton active paragraph={{ rows: 12 }} />
      </Page>
    )
  return (
    <Page title={title} parents={parents} lead={<Lead image={image} />} actions={<Actions image={image} name={key} cluster={search.cluster} choose={(v) => set({ cluster: v })} />}>
      {!image.read && <Unread image={image} />}
      {image.read && image.gaps.length > 0 && <Gaps image={image} />}
      {image.cut && <Alert type="warning" showIcon title={t('cut')} />}
      <Sections name={key} image={image} cluster={cluster} tab={search.tab} choose={(tab) => set({ ...none, tab })} />
    </Page>
  )
}

function Lead({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  return (
    <>
      {image.digest && (
        <span>
          {t('digest')} <code title={image.digest}>{shortDigest(image.digest)}</code> <Copy text={image.digest} />
        </span>
      )}{' '}
      {image.readAt && (
        <span>
          · {t('readAt')} <When at={image.readAt} />
        </span>
      )}
      {image.references.length > 1 && (
        <div>
          {t('references')}: {image.references.slice(1).join(', ')}
        </div>
      )}
    </>
  )
}

type ActionProps = { image: Image; name: string; cluster: string | undefined; choose: (cluster: string) => void }

function Actions({ image, name, cluster, choose }: ActionProps) {
  const { t } = useTranslation('images')
  const targets = new Map(image.uses.map((u) => [u.targetId, u.target]))
  const file = (form: 'cyclonedx' | 'spdx') => `/api/v1/images/${name}/sbom?form=${form}`
  return (
    <>
      {targets.size > 1 && (
        <label>
          {t('in')}{' '}
          <Pick label={t('in')} value={cluster ?? image.targetId} options={[...targets].map(([value, label]) => ({ value, label }))} onChange={choose} />
        </label>
      )}
      {image.read && isKey(name) && (
        <Dropdown
          trigger={['click']}
          menu={{
            items: (['cyclonedx', 'spdx'] as const).map((form) => ({
              key: form,
              label: (
                <a href={file(form)} download>
                  {t(form)}
                </a>
              ),
            })),
          }}
        >
          <Button icon={<DownloadOutlined />}>
            {t('bill')} <DownOutlined />
          </Button>
        </Dropdown>
      )}
    </>
  )
}

// Gaps says what of the image could not be judged.
function Gaps({ image }: { image: Image }) {
  const { t } = useTranslation(['images', 'words'])
  const { number } = useFormat()
  return (
    <details className={css.gaps}>
      <summary>
        <ExclamationCircleOutlined /> <strong>{t('limits', { count: image.gaps.length, number: number(image.gaps.length) })}</strong> {t('limitsMeaning')}
      </summary>
      <ul>
        {image.gaps.slice(0, 50).map((g, i) => (
          <li key={i} className={css.code}>
            {t(`words:gap.${g.code as 'broken'}`, { defaultValue: g.code })}: {g.what}: {g.reason}
          </li>
        ))}
      </ul>
    </details>
  )
}

type SectionProps = { name: string; image: Image; cluster: number | undefined; tab: string | undefined; choose: (tab: string) => void }

function Sections({ name, image, cluster, tab, choose }: SectionProps) {
  const { t } = useTranslation('images')
  const { number } = useFormat()
  const count = (kinds: readonly string[]) => number(kinds.reduce((n, kind) => n + (image.kinds[kind] ?? 0), 0))
  const workloads = image.uses.reduce((n, u) => n + u.workloadCount, 0)
  const idle = image.uses.length === 0 && image.read && !!image.digest // it has no findings, which would look like no risks
  const sections = idle ? [
    { key: 'risks', label: t('tab.risks'), children: <IdleRisks digest={image.digest!} /> },
    { key: 'overview', label: t('idle.about'), children: <Facts image={image} /> },
    { key: 'layers', label: t('tab.layers'), children: <Layers image={image} /> },
    { key: 'packages', label: `${t('tab.packages')} (${number(image.packages)})`, children: <Packages name={name} image={image} cluster={cluster} /> },
  ] : [
    { key: 'overview', label: t('tab.overview'), children: <Overview image={image} /> },
    ...(image.read ? [{ key: 'layers', label: t('tab.layers'), children: <Layers image={image} /> }] : []),
    { key: 'risks', label: `${t('tab.risks')} (${number(Object.values(image.kinds).reduce((a, b) => a + b, 0))})`, children: <Findings name={name} image={image} cluster={cluster} table="image-risks" /> },
    { key: 'vulnerabilities', label: `${t('tab.vulnerabilities')} (${count(vulnerabilityKinds)})`, children: <Findings name={name} image={image} cluster={cluster} kinds={vulnerabilityKinds} table="image-vulnerabilities" /> },
    ...(image.read ? [{ key: 'packages', label: `${t('tab.packages')} (${number(image.packages)})`, children: <Packages name={name} image={image} cluster={cluster} /> }] : []),
    { key: 'secrets', label: `${t('tab.secrets')} (${count(otherKinds)})`, children: <Findings name={name} image={image} cluster={cluster} kinds={otherKinds} table="image-others" /> },
    { key: 'uses', label: `${t('tab.uses')} (${number(workloads)})`, children: <Uses image={image} /> },
  ]
  // What was found before the image could not be read any more is still told.
  const old = Object.keys(image.kinds).length > 0
  const shown = sections.filter((s) => image.read || s.key === 'uses' || (s.key === 'risks' && old))
  const here = shown.some((s) => s.key === tab) ? tab : shown[0]!.key
  return <TabBar label={image.references[0] ?? name} tabs={shown} active={here!} onChange={choose} />
}
