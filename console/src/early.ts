// What every page needs after the program itself begins to load with it, not after it.
import { detected } from './text/detected'

void (detected() === 'zh' ? import('./text/zh') : import('./text/en'))
if (location.pathname === '/') void import('./screens/overview/Overview')
