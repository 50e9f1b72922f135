import type { paths } from '../../api/schema'

type Json<T> = T extends { content: { 'application/json': infer B } } ? B : never
type Get<P extends keyof paths> = paths[P] extends { get: { responses: { 200: infer R } } } ? Json<R> : never
type Post<P extends keyof paths, S extends number> = paths[P] extends { post: { responses: infer R } } ? (S extends keyof R ? Json<R[S]> : never) : never

export type Details = Get<'/api/v1/clusters/{id}'>
export type Cluster = NonNullable<Get<'/api/v1/clusters'>['items']>[number]
export type Sum = NonNullable<Get<'/api/v1/clusters/summary'>['items']>[number]
export type Check = Post<'/api/v1/clusters/check', 200>
export type Permission = NonNullable<Check['permissions']>[number]
export type Install = Get<'/api/v1/clusters/{id}/connector'>
export type Asset = NonNullable<Get<'/api/v1/assets'>['items']>[number]
export type AssetPage = Get<'/api/v1/assets/{id}'>
export type Gap = NonNullable<Get<'/api/v1/gaps'>['items']>[number]
export type Task = NonNullable<Get<'/api/v1/tasks'>['items']>[number]
