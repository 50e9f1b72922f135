import { useTranslation } from 'react-i18next'

import css from './Palette.module.css'
import type { Option } from './results'
import { SeverityTag } from '../../parts/Severity'

type Props = { id: string; option: Option; active: boolean; onHover: () => void; onChoose: () => void }

// OptionRow is one line of the palette. The field keeps the focus: lines are named by it.
export function OptionRow({ id, option, active, onHover, onChoose }: Props) {
  const { t } = useTranslation('palette')
  return (
    <div id={id} role="option" aria-selected={active} className={`${css.option} ${active ? css.active : ''}`} onMouseMove={onHover} onMouseDown={(e) => e.preventDefault()} onClick={onChoose}>
      <span className={css.text}>
        <span className={css.title}>{option.title}</span>
        {option.subtitle && option.subtitle !== option.title && <span className={css.subtitle}>{option.subtitle}</span>}
      </span>
      {option.presence && option.presence !== 'present' && <span className={css.presence}>{t(`presence.${option.presence}`)}</span>}
      {option.severity && <SeverityTag severity={option.severity} />}
    </div>
  )
}
