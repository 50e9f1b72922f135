import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'

import { grave, type Sign } from './facts'
import css from './nodes.module.css'

// Signs names what about a container should be looked at; the grave ones have another colour, and all have words. In a row there is room
// for the worst only: the others are counted.
export function Signs({ list, most = list.length }: { list: Sign[]; most?: number }) {
  const { t } = useTranslation('nodes')
  return (
    <span className={css.signs}>
      {list.slice(0, most).map((s) => (
        <Tag key={s} color={grave.includes(s) ? 'red' : 'default'} title={t(`signWhy.${s}`)}>
          {t(`sign.${s}`)}
        </Tag>
      ))}
      {list.length > most && (
        <Tag title={list.slice(most).map((s) => t(`sign.${s}`)).join(', ')}>
          +{list.length - most}
        </Tag>
      )}
    </span>
  )
}
