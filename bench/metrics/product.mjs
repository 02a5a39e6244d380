export async function product() {}
