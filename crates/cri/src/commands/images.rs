//! `cofferdam images`: images, and pulling one.

use super::table::{bytes, table};
use super::{Client, answered, print, short};
use crate::error::Result;
use crate::wire::v1::{ImageSpec, ListImagesRequest, PullImageRequest, RemoveImageRequest};

/// Prints them.
pub(crate) async fn images(client: &mut Client) -> Result<()> {
    let request = ListImagesRequest::default();
    let images = answered(client.images.list_images(request).await, || "list images".to_owned())?.images;
    let mut rows = Vec::new();
    for image in &images {
        let names: Vec<&String> =
            if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags }.iter().collect();
        let pinned = if image.pinned { "pinned" } else { "" };
        for name in names {
            rows.push(vec![name.clone(), short(&image.id).to_owned(), bytes(image.size), pinned.to_owned()]);
        }
    }
    print(&table(&["IMAGE", "ID", "SIZE", ""], &rows))
}

/// Pulls one; prints its id.
pub(crate) async fn pull(client: &mut Client, name: &str) -> Result<()> {
    let image = Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() });
    let request = PullImageRequest { image, ..PullImageRequest::default() };
    let pulled = answered(client.images.pull_image(request).await, || format!("pull {name}"))?;
    print(&format!("{}\n", pulled.image_ref))
}

/// Removes one.
pub(crate) async fn remove(client: &mut Client, name: &str) -> Result<()> {
    let image = Some(ImageSpec { image: name.to_owned(), ..ImageSpec::default() });
    answered(client.images.remove_image(RemoveImageRequest { image }).await, || format!("remove {name}"))?;
    Ok(())
}
