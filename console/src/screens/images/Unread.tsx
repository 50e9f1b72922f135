import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { Image } from './model'

const known = ['unreachable', 'forbidden', 'limit', 'unsupported', 'broken', 'skipped'] as const

// Unread says why an image was not scanned and what to do about it.
export function Unread({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const code = known.find((c) => c === image.code) ?? 'skipped'
  return (
    <Alert
      type="error"
      showIcon
      title={t('unread.title')}
      description={
        <div className={css.list}>
          <div>{t('unread.meaning')}</div>
          {image.reason ? (
            <div>
              {t('unread.why')} <code className={css.code}>{image.reason}</code>
            </div>
          ) : (
            <div>{t('unread.never')}</div>
          )}
          <div>
            <strong>{t('unread.todo')}:</strong> {t(`unread.${code}`)}
          </div>
          <div>
            <Link to="/integrations/$section" params={{ section: 'registries' }}>
              {t('unread.registries')}
            </Link>{' '}
            · <Link to="/scans">{t('unread.scans')}</Link>
          </div>
        </div>
      }
    />
  )
}
