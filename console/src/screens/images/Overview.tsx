import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Advice } from './Advice'
import { Facts } from './Facts'
import css from './images.module.css'
import { checks, type Image } from './model'
import { Split } from './Split'
import { Panel } from '../../parts/Page'

// Overview is the first tab: where the risks come from, what clears most of them, what the image is.
export function Overview({ image }: { image: Image }) {
  return (
    <div className={css.grid}>
      <div className={css.stack}>
        <Split image={image} />
        <Advice image={image} />
      </div>
      <div className={css.stack}>
        <Checks image={image} />
        <Facts image={image} />
      </div>
    </div>
  )
}

function Checks({ image }: { image: Image }) {
  const { t } = useTranslation('images')
  const [now] = useState(() => Date.now())
  const list = checks(image, now)
  return (
    <Panel title={t('check.title')}>
      {list.length === 0 ? (
        t('check.none')
      ) : (
        <ul className={css.list}>
          {list.map((c) => (
            <li key={c.key}>{t(`check.${c.key}`, { value: c.value ?? '' })}</li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
