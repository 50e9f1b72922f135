import { usePreference } from '../../app/preference'
import { checked, noViews, type SavedView } from '../risks/views'

// useViews gives the views that the user saved on the risks page.
export function useViews(): SavedView[] {
  const [value] = usePreference('views.risks', noViews)
  return checked(value).list
}
