import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import type { AssetPage } from './shapes'
import { Panel } from '../../parts/Page'

type Container = NonNullable<NonNullable<AssetPage['facts']>['containers']>[number]

// WorkloadContainers lists the containers with what gives them power.
export function WorkloadContainers({ list }: { list: Container[] }) {
  const { t } = useTranslation('assets')
  if (list.length === 0) return null
  return (
    <Panel title={t('containers')} className={css.whole}>
      <div className={css.scroll} tabIndex={0} role="region" aria-label={t('containers')}>
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('name')}</th>
              <th scope="col">{t('image')}</th>
              <th scope="col">{t('portsTitle')}</th>
              <th scope="col">{t('power')}</th>
            </tr>
          </thead>
          <tbody>
            {list.map((c) => (
              <tr key={c.name}>
                <td>
                  {c.name} {c.type && c.type !== 'container' && <Tag>{c.type}</Tag>}
                </td>
                <td className={css.anywhere}>{c.image}</td>
                <td>{(c.ports ?? []).join(', ') || '–'}</td>
                <td>
                  {c.privileged && <Tag color="red">{t('privileged')}</Tag>}
                  {c.root && <Tag color="orange">{t('root')}</Tag>}
                  {(c.capabilities ?? []).map((name) => (
                    <Tag key={name}>{name}</Tag>
                  ))}
                  {!c.privileged && !c.root && (c.capabilities ?? []).length === 0 && '–'}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}
