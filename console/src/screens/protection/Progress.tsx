import { CheckCircleFilled, CloseCircleFilled, ClockCircleOutlined, LoadingOutlined, MinusCircleOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { standing, type Status } from './shapes'
import { StateTag } from './StateTag'
import blocks from '../../parts/Blocks.module.css'
import { When } from '../../parts/When'
import { missing } from '../../text/format'
import { inWords } from '../policies/preview'

const icons = { waiting: ClockCircleOutlined, running: LoadingOutlined, done: CheckCircleFilled, failed: CloseCircleFilled, skipped: MinusCircleOutlined } as const
const colors = { waiting: 'var(--text-soft)', running: 'var(--low)', done: 'var(--good)', failed: 'var(--critical)', skipped: 'var(--text-soft)' } as const

// Progress follows an installation or removal step by step.
export function Progress({ status: s }: { status: Status }) {
  const { t } = useTranslation('protection')
  return (
    <div className={blocks.stack} aria-live="polite">
      <StateTag state={s.state} reason={s.reason} />
      {s.reason && <Alert type={s.state === 'error' || s.state === 'remove-failed' || s.state === 'policy-failed' ? 'error' : 'info'} showIcon title={s.reason} description={s.state === 'error' || s.state === 'remove-failed' ? t('triedAgain') : undefined} />}
      <ol className={blocks.list} aria-label={t('stepsLabel')}>
        {(s.steps ?? []).map((step) => {
          const Icon = icons[step.state]
          return (
            <li key={step.name}>
              <span style={{ color: colors[step.state] }}>
                <Icon aria-hidden /> {t(`progressOfStep.${step.state}`)}
              </span>{' '}
              {inWords(step.title)} {!missing(step.at) && <span className="text-soft"><When at={step.at} /></span>}
              {step.detail && <div className={blocks.hint}>{step.detail}</div>}
            </li>
          )
        })}
      </ol>
      {standing(s.state) && (
        <Alert
          type="success"
          showIcon
          title={t('enabled')}
          description={
            <span className={blocks.row}>
              {s.state === 'no-policy' && <Link to="/protection/policies/new">{t('firstPolicy')}</Link>}
              <Link to="/protection/health" search={{ cluster: s.id }}>
                {t('toHealth')}
              </Link>
            </span>
          }
        />
      )}
    </div>
  )
}
