import { DownloadOutlined } from '@ant-design/icons'
import { Button, Dropdown } from 'antd'
import { useTranslation } from 'react-i18next'

import { exportHref, forms } from './exportHref'
import type { Filter } from './filter'

// Export offers the findings of the filter as files: all of them, in the order of the list.
export function Export({ filter, sort }: { filter: Filter; sort?: string }) {
  const { t, i18n } = useTranslation('risks')
  const items = forms.map((form) => ({
    key: form,
    label: (
      <a href={exportHref(filter, sort, form, i18n.language)} download>
        {t(`form.${form}`)}
      </a>
    ),
  }))
  return (
    <Dropdown trigger={['click']} menu={{ items: [{ key: 'head', type: 'group', label: t('exportHint'), children: items }] }}>
      <Button icon={<DownloadOutlined />}>{t('export')}</Button>
    </Dropdown>
  )
}
