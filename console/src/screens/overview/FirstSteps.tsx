import { CloudDownloadOutlined, ClusterOutlined, CodeOutlined, PlayCircleOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import { useMay } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { useDemo } from '../assets/useDemo'

function Card({ icon, title, text, action }: { icon: ReactNode; title: string; text: string; action: ReactNode }) {
  return (
    <section className={css.card} aria-label={title}>
      <span className={css.cardIcon} aria-hidden>
        {icon}
      </span>
      <h2>{title}</h2>
      <p>{text}</p>
      {action}
    </section>
  )
}

// FirstSteps is what an installation without anything shows: what to do first.
export function FirstSteps() {
  const { t } = useTranslation('overview')
  const manages = useMay('manage-clusters')
  const scans = useMay('scan')
  const settles = useMay('manage-settings')
  const demo = useDemo()
  if (!manages && !scans) return <EmptyState title={t('nothingYet')} hint={t('nothingYetHint')} />
  return (
    <>
      {demo.error ? <Problem error={demo.error} /> : null}
      <div className={css.cards}>
        {manages && (
          <Card
            icon={<ClusterOutlined />}
            title={t('addCluster')}
            text={t('addClusterHint')}
            action={
              <Link to="/assets/clusters" search={{ add: 'kubeconfig' }} className={css.button}>
                {t('addClusterDo')}
              </Link>
            }
          />
        )}
        {manages && (
          <Card
            icon={<PlayCircleOutlined />}
            title={t('takeDemo')}
            text={t('takeDemoHint')}
            action={
              <Button type="primary" loading={demo.busy} onClick={demo.add}>
                {t('takeDemoDo')}
              </Button>
            }
          />
        )}
        {scans && (
          <Card
            icon={<CodeOutlined />}
            title={t('uploadIac')}
            text={t('uploadIacHint')}
            action={
              <Link to="/iac" className={css.button}>
                {t('uploadIacDo')}
              </Link>
            }
          />
        )}
        {settles && (
          <Card
            icon={<CloudDownloadOutlined />}
            title={t('addData')}
            text={t('addDataHint')}
            action={
              <Link to="/settings/$section" params={{ section: 'advisories' }} className={css.button}>
                {t('addDataDo')}
              </Link>
            }
          />
        )}
      </div>
    </>
  )
}
