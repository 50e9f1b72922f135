import { Radio } from 'antd'
import { useTranslation } from 'react-i18next'

type Props = { value: 'en' | 'zh'; onChange: (value: 'en' | 'zh') => void }

// LanguageField chooses the language of a file: each by its own name.
export function LanguageField({ value, onChange }: Props) {
  const { t } = useTranslation('reports')
  return (
    <fieldset>
      <legend>{t('language')}</legend>
      <Radio.Group
        value={value}
        onChange={(e) => onChange(e.target.value as 'en' | 'zh')}
        options={[
          { value: 'en', label: 'English' },
          { value: 'zh', label: '简体中文' },
        ]}
      />
    </fieldset>
  )
}
