/** What people delete with today: s3cmd and rclone, from Debian's packages. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type S3Tools = {
  /** Deletes everything below a prefix (`a/b/`). */
  s3cmd(prefix: string): Promise<void>
  rclone(prefix: string): Promise<void>
}

export type S3ToolsOptions = {
  url: string
  accessKey: string
  secretKey: string
  bucket: string
  folder: string
}

/** Throws when one of them is not installed. */
export async function openS3Tools(options: S3ToolsOptions): Promise<S3Tools> {
  const { url, accessKey, secretKey, bucket, folder } = options
  for (const [tool, flag] of [
    ['s3cmd', '--version'],
    ['rclone', 'version'],
  ] as const) {
    await run(tool, [flag]).catch(() => {
      throw new Error(`B4 compares with ${tool}: apt-get install s3cmd rclone`)
    })
  }
  const { host } = new URL(url)
  const s3cfg = join(folder, 's3cfg')
  await writeFile(
    s3cfg,
    `[default]\naccess_key = ${accessKey}\nsecret_key = ${secretKey}\nhost_base = ${host}\nhost_bucket = ${host}\nuse_https = False\nbucket_location = us-east-1\n`,
  )
  const rcloneConfig = join(folder, 'rclone.conf')
  await writeFile(
    rcloneConfig,
    `[store]\ntype = s3\nprovider = Other\naccess_key_id = ${accessKey}\nsecret_access_key = ${secretKey}\nendpoint = ${url}\nregion = us-east-1\nforce_path_style = true\n`,
  )
  // nothing of this machine's own settings
  const execution = { maxBuffer: 64 * 1024 * 1024, env: { PATH: process.env['PATH'] ?? '', HOME: folder } }
  return {
    async s3cmd(prefix) {
      await run(
        's3cmd',
        ['-c', s3cfg, 'del', '--recursive', '--force', `s3://${bucket}/${prefix}`],
        execution,
      )
    },
    async rclone(prefix) {
      await run('rclone', ['--config', rcloneConfig, 'delete', `store:${bucket}/${prefix}`], execution)
    },
  }
}
