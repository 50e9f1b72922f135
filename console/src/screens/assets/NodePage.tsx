import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { AssetFrame } from './AssetFrame'
import { Facts } from './Facts'
import { Panel } from '../../parts/Page'

// NodePage shows a node: what runs on it as a system, and its findings by kind.
export default function NodePage() {
  const { t } = useTranslation('assets')
  const { id } = useParams({ strict: false })
  return (
    <AssetFrame id={id ?? ''} kind="node" lead={(a) => <Link to="/clusters/$id" params={{ id: a.targetId }}>{a.target}</Link>}>
      {(a) => (
        <Panel title={t('facts')} className={css.third}>
          {a.facts ? (
            <Facts
              items={[
                { label: t('roles'), value: (a.facts.roles ?? []).join(', ') || t('worker') },
                { label: t('kubelet'), value: a.facts.kubelet },
                { label: t('os'), value: a.facts.os },
                { label: t('kernel'), value: a.facts.kernel },
                { label: t('runtime'), value: a.facts.runtime },
                { label: t('architecture'), value: a.facts.architecture },
                { label: t('scheduling'), value: a.facts.cordoned ? t('cordoned') : t('schedulable') },
              ]}
            />
          ) : (
            <p className={css.soft}>{t('noFacts')}</p>
          )}
          <p className={css.soft}>{t('nodeNote')}</p>
        </Panel>
      )}
    </AssetFrame>
  )
}
