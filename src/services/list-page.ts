import type { PageOf, PageRequest } from '../ports/scope.ts'
import type { Page, PageQuery } from './api.ts'

const DEFAULT_PAGE_SIZE = 50
const MAX_PAGE_SIZE = 200

export const toPageRequest = ({ pageSize = DEFAULT_PAGE_SIZE, pageToken }: PageQuery): PageRequest => ({
  pageSize: Math.min(Math.max(pageSize, 1), MAX_PAGE_SIZE),
  after: pageToken ?? null,
})

export const toPage = <Item>({ items, next }: PageOf<Item>): Page<Item> => ({ items, nextPageToken: next })
