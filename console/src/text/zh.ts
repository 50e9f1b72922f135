import { bundle } from './bundle'

export const texts = bundle(import.meta.glob<object>(['./zh.json', '../app/**/zh.json', '../parts/zh.json', '../screens/*/zh.json'], { eager: true, import: 'default' }))
