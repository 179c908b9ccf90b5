//! Changes to a compute system that exists.

use super::GuestModifySettingRequest;
use super::resource::{Add, Remove, Resource, ResourceError, ResourcePath, Update};
use crate::document::{
    Element, IntoField, Mismatch, SchemaVersion, Shape, TooNew, documents, enumerations, value_of,
};
use serde_json::Value;

documents! {
    /// A change to a compute system: of the host at a path, of the guest, or of both.
    ///
    /// [`ModifySettingRequest::add`], [`ModifySettingRequest::remove`] and [`ModifySettingRequest::update`]
    /// make one of a typed path; [`ModifySettingRequest::resource`] reads the path of one that somebody sent.
    ModifySettingRequest {
        "ResourcePath" resource_path: String, since 2.1;
        "RequestType" request_type: ModifyRequestType;
        "Settings" settings: Value;
        "GuestRequest" guest_request: GuestModifySettingRequest, since 2.1;
    }
}

enumerations! {
    /// What to do with a setting.
    ModifyRequestType {
        Add = "Add";
        Remove = "Remove";
        Update = "Update";
    }
}

/// A request that says something else than its path allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The path, or what is asked of it.
    #[error("read a settings request")]
    Resource(#[source] ResourceError),
    /// The settings are not those of the path.
    #[error("read the settings of {path}")]
    Settings {
        /// The path.
        path: Box<ResourcePath>,
        /// What is wrong.
        #[source]
        cause: Box<Mismatch>,
    },
    /// The settings need a newer host.
    #[error("check the settings of {path}")]
    TooNew {
        /// The path.
        path: Box<ResourcePath>,
        /// What is too new.
        #[source]
        cause: Box<TooNew>,
    },
}

impl RequestError {
    fn settings(path: ResourcePath, cause: Mismatch) -> Self {
        Self::Settings { path: Box::new(path), cause: Box::new(cause) }
    }
}

impl ModifySettingRequest {
    /// Adds a resource.
    #[must_use]
    pub fn add<R: Add>(resource: &R, settings: impl IntoField<R::Settings>) -> Self {
        Self::of(ModifyRequestType::Add, &resource.path(), Some(&settings.into_field()))
    }

    /// Removes a resource that its path names.
    #[must_use]
    pub fn remove<R: Remove>(resource: &R) -> Self {
        Self::of(ModifyRequestType::Remove, &resource.path(), None::<&R::Settings>)
    }

    /// Removes a resource that only its settings name, such as a share.
    #[must_use]
    pub fn remove_with<R: Remove>(resource: &R, settings: impl IntoField<R::Settings>) -> Self {
        Self::of(ModifyRequestType::Remove, &resource.path(), Some(&settings.into_field()))
    }

    /// Updates a resource.
    #[must_use]
    pub fn update<R: Update>(resource: &R, settings: impl IntoField<R::Settings>) -> Self {
        Self::of(ModifyRequestType::Update, &resource.path(), Some(&settings.into_field()))
    }

    /// Changes something in the guest only.
    #[must_use]
    pub fn in_guest(request: GuestModifySettingRequest) -> Self {
        Self::new().guest_request(request)
    }

    fn of<S: Element>(request: ModifyRequestType, path: &ResourcePath, settings: Option<&S>) -> Self {
        let mut this = Self::new().resource_path(path.to_string()).request_type(request);
        this.settings = settings.map(|settings| value_of(settings.node())).filter(|value| !value.is_null());
        this
    }

    /// The resource, if the request has one and admits it. An absent request type means `Add`.
    ///
    /// # Errors
    /// There is no such path, or it does not admit the request.
    pub fn resource(&self) -> Result<Option<ResourcePath>, RequestError> {
        let Some(path) = self.resource_path.as_deref().filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let path: ResourcePath = path.parse().map_err(RequestError::Resource)?;
        path.admit(self.request_type.as_ref().unwrap_or(&ModifyRequestType::Add))
            .map_err(RequestError::Resource)?;
        Ok(Some(path))
    }

    /// The settings as those of a resource; `None` if there are none.
    ///
    /// # Errors
    /// They are of another type.
    pub fn settings_of<R: Resource>(&self, resource: &R) -> Result<Option<R::Settings>, RequestError> {
        let settings = self.settings.clone().map(R::Settings::read).transpose();
        settings.map_err(|cause| RequestError::settings(resource.path(), cause))
    }

    /// Looks into the settings, which [`Document::check`](crate::document::Document::check) cannot: they are
    /// what the path says, and a host of schema `host` has all of it.
    ///
    /// # Errors
    /// Whatever is wrong with path, request type or settings.
    pub fn check_settings(&self, host: SchemaVersion) -> Result<(), RequestError> {
        let (Some(path), Some(settings)) = (self.resource()?, &self.settings) else { return Ok(()) };
        let Shape::Object(table) = path.settings() else { return Ok(()) };
        match (table.read)(settings.clone()) {
            Ok(object) => object
                .check(host)
                .map_err(|cause| RequestError::TooNew { path: Box::new(path), cause: Box::new(cause) }),
            Err(cause) => Err(RequestError::settings(path, cause)),
        }
    }
}
