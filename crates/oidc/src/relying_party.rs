//! The authorization code flow with one provider: discovery, the address to leave for, redeeming the code, and the checks of the ID token.

use std::time::{Duration, UNIX_EPOCH};

use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret,
    CsrfToken, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields,
    IdTokenVerifier, IssuerUrl, JsonWebKeySet, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    ProviderMetadata, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, TokenResponse as _, UserInfoError,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
        CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    CLOCK_TOLERANCE_S, Error, Outside, Unreachable,
    attempt::Attempt,
    person::{MAX_SUBJECT_BYTES, Person, Rest, UserInfo},
    provider::Provider,
};

/// The algorithms that are accepted: those with a private key of the provider. One whose key is our own client secret would let anybody who learns
/// the secret sign in as anybody, and `none` proves nothing.
pub(crate) const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// An ID token was made for this attempt, so it is not older than an attempt may be.
const MAX_AGE_S: i64 = crate::attempt::LIFETIME_S;

/// What the discovery document says besides what `openidconnect` knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MoreMetadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type TokenResponse = StandardTokenResponse<
    IdTokenFields<
        Rest,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type TheClient = Client<
    Rest,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a provider publishes about itself: the discovery document and the keys that it signs with.
#[derive(Clone, Debug)]
pub struct Published {
    pub(crate) metadata: Metadata,
}

impl Published {
    /// Asks the provider.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn fetch(provider: &Provider, outside: &Outside) -> Result<Self, Error> {
        let issuer = IssuerUrl::new(provider.issuer.clone()).map_err(unavailable)?;
        let http = |request| outside(request);
        let metadata = Metadata::discover_async(issuer, &http).await.map_err(undiscovered)?;
        Self::checked(metadata, provider)
    }

    /// From the texts of [`Self::texts`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when they cannot be read, as after a change of the configuration.
    pub fn from_texts(provider: &Provider, document: &str, keys: &str) -> Result<Self, Error> {
        let metadata: Metadata = serde_json::from_str(document).map_err(unavailable)?;
        let keys: JsonWebKeySet<CoreJsonWebKey> = serde_json::from_str(keys).map_err(unavailable)?;
        Self::checked(metadata.set_jwks(keys), provider)
    }

    /// The discovery document and the keys, to be kept.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; does not happen.
    pub fn texts(&self) -> Result<(String, String), Error> {
        let document = serde_json::to_string(&self.metadata).map_err(unavailable)?;
        let keys = serde_json::to_string(self.metadata.jwks()).map_err(unavailable)?;
        Ok((document, keys))
    }

    /// The same with the keys that the provider signs with now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn with_new_keys(self, outside: &Outside) -> Result<Self, Error> {
        let http = |request| outside(request);
        let keys = JsonWebKeySet::fetch_async(self.metadata.jwks_uri(), &http).await.map_err(undiscovered)?;
        Ok(Self { metadata: self.metadata.set_jwks(keys) })
    }

    fn checked(metadata: Metadata, provider: &Provider) -> Result<Self, Error> {
        if metadata.issuer().as_str() != provider.issuer {
            let found = metadata.issuer().as_str();
            return Err(Error::Unavailable(format!("its discovery document names another issuer: {found:?}")));
        }
        let Some(token_endpoint) = metadata.token_endpoint() else {
            return Err(Error::Unavailable("its discovery document names no token endpoint".to_owned()));
        };
        let endpoints = [Some(metadata.authorization_endpoint().url()), Some(token_endpoint.url())];
        let others = [metadata.userinfo_endpoint().map(|endpoint| endpoint.url()), Some(metadata.jwks_uri().url())];
        let is_plain = |address: &&Url| !provider.may_reach(address);
        let plain = endpoints.into_iter().chain(others).flatten().find(is_plain).map(Url::to_string);
        plain.map_or(Ok(Self { metadata }), |address| {
            Err(Error::Unavailable(format!("{address} is not an https address")))
        })
    }

    fn client(&self, provider: &Provider, redirect_uri: &str) -> Result<TheClient, Error> {
        let secret = provider.client_secret.as_ref().map(|secret| ClientSecret::new(secret.reveal().to_owned()));
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_none_or(|methods| methods.contains(&method));
        // Basic is the default (OpenID Connect Discovery, section 3).
        let in_body = !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost);
        let auth_type = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let redirect_uri = RedirectUrl::new(redirect_uri.to_owned()).map_err(unavailable)?;
        let client_id = ClientId::new(provider.client_id.clone());
        let client = Client::from_provider_metadata(self.metadata.clone(), client_id, secret);
        Ok(client.set_redirect_uri(redirect_uri).set_auth_type(auth_type))
    }

    /// The address at which the person signs in.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn authorization_url(&self, provider: &Provider, attempt: &Attempt, redirect_uri: &str) -> Result<Url, Error> {
        let client = self.client(provider, redirect_uri)?;
        let verifier = PkceCodeVerifier::new(attempt.code_verifier());
        let (state, nonce) = (CsrfToken::new(attempt.state()), Nonce::new(attempt.nonce()));
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(provider.scopes.iter().cloned().map(Scope::new));
        if let Some(max_age_s) = provider.max_age_s {
            request = request.set_max_age(Duration::from_secs(u64::from(max_age_s)));
        }
        Ok(request.url().0)
    }

    /// Whether a response names its sender as it should (RFC 9207, section 2.4): another provider's response must not be taken for this one's.
    #[must_use]
    pub fn accepts_sender(&self, issuer: Option<&str>) -> bool {
        let must_say = self.metadata.additional_metadata().authorization_response_iss_parameter_supported;
        issuer.map_or(!must_say, |issuer| issuer == self.metadata.issuer().as_str())
    }

    /// Redeems a code, once.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::CodeRefused`].
    pub async fn redeem(
        &self,
        provider: &Provider,
        attempt: &Attempt,
        redirect_uri: &str,
        code: String,
        outside: &Outside,
    ) -> Result<Tokens, Error> {
        let client = self.client(provider, redirect_uri)?;
        let http = |request| outside(request);
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(unavailable)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(attempt.code_verifier()));
        let response = request.request_async(&http).await.map_err(unredeemed)?;
        if response.id_token().is_none() {
            return Err(Error::TokenRefused("there is no ID token".to_owned()));
        }
        Ok(Tokens { response })
    }

    /// Checks the ID token, by the database's clock.
    ///
    /// # Errors
    /// [`Error::UnknownKey`]: the caller tries again with [new keys](Self::with_new_keys). [`Error::TokenRefused`].
    pub fn verify(&self, provider: &Provider, attempt: &Attempt, tokens: &Tokens, now_s: i64) -> Result<Person, Error> {
        let Some(id_token) = tokens.response.id_token() else {
            return Err(Error::TokenRefused("there is no ID token".to_owned()));
        };
        let client_id = ClientId::new(provider.client_id.clone());
        let (issuer, keys) = (self.metadata.issuer().clone(), self.metadata.jwks().clone());
        // A token counts for a moment longer than it says.
        let clock = UNIX_EPOCH + Duration::from_secs(u64::try_from(now_s - CLOCK_TOLERANCE_S).unwrap_or_default());
        let max_age_s = provider.max_age_s.map(i64::from);
        let verifier = IdTokenVerifier::new_public_client(client_id, issuer, keys)
            .set_allowed_algs(ALGORITHMS)
            // Who else may see the token does not matter if it was issued to us, which `azp` must say then: see below.
            .set_other_audience_verifier_fn(|_| true)
            .set_time_fn(move || clock.into())
            .set_issue_time_verifier_fn(move |issued| is_recent(issued.timestamp(), now_s, MAX_AGE_S))
            .set_auth_time_verifier_fn(move |authenticated| match (max_age_s, authenticated) {
                (None, None) => Ok(()),
                (None, Some(at)) => is_recent(at.timestamp(), now_s, i64::MAX),
                (Some(max_age_s), Some(at)) => is_recent(at.timestamp(), now_s, max_age_s),
                (Some(_), None) => Err("auth_time is missing".to_owned()),
            });
        let claims = id_token.claims(&verifier, &Nonce::new(attempt.nonce())).map_err(|error| refused(&error))?;
        // OpenID Connect Core, section 3.1.3.7, steps 4 and 5.
        match claims.authorized_party() {
            Some(party) if party.as_str() != provider.client_id => {
                return Err(Error::TokenRefused("azp names another client".to_owned()));
            }
            None if claims.audiences().len() > 1 => {
                return Err(Error::TokenRefused("there are several audiences and no azp".to_owned()));
            }
            Some(_) | None => {}
        }
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            return Err(Error::TokenRefused("the subject is empty or too long".to_owned()));
        }
        let email = claims.email().map(|email| email.as_str());
        let is_verified = claims.email_verified().unwrap_or_default();
        let rest = claims.additional_claims();
        let person = Person::new(subject, email, is_verified, claims.name(), rest, provider);
        Ok(person.with_hint(&id_token.to_string()))
    }

    /// Asks the userinfo endpoint for what the ID token does not say, if anything is missing. Whoever can do without the answer does not need one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::TokenRefused`].
    pub async fn complete(
        &self,
        provider: &Provider,
        person: Person,
        tokens: &Tokens,
        outside: &Outside,
    ) -> Result<Person, Error> {
        let needs_groups = !provider.roles.is_empty() && person.groups.is_none();
        let access_token = tokens.response.access_token();
        // The crate panics if a header cannot hold the token.
        let can_be_sent = access_token.secret().bytes().all(|byte| byte.is_ascii_graphic());
        let has_address = person.email.is_some() && (person.is_email_verified || provider.trusts_email);
        let is_complete = has_address && !person.name.is_empty() && !needs_groups;
        if is_complete || !can_be_sent || self.metadata.userinfo_endpoint().is_none() {
            return Ok(person);
        }
        // The address matters only for the type: nobody is redirected here.
        let client = self.client(provider, &provider.issuer)?;
        let http = |request| outside(request);
        let subject = SubjectIdentifier::new(person.subject.clone());
        let request = client.user_info(access_token.clone(), Some(subject)).map_err(unavailable)?;
        let answer: Result<UserInfo, _> = request.request_async(&http).await;
        match answer {
            Ok(info) => Ok(person.completed(&info, provider)),
            Err(UserInfoError::ClaimsVerification(_)) => {
                Err(Error::TokenRefused("the userinfo endpoint speaks of somebody else".to_owned()))
            }
            Err(_) if person.email.is_some() && !needs_groups => Ok(person),
            Err(UserInfoError::Request(error)) => Err(unavailable(error)),
            Err(_) => Err(Error::Unavailable("its userinfo endpoint does not answer as it should".to_owned())),
        }
    }
}

/// What a code was redeemed for. `Debug` does not show it.
pub struct Tokens {
    response: TokenResponse,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Whether a moment is not in the future, and at most so long ago, as far as clocks agree.
pub(crate) fn is_recent(at_s: i64, now_s: i64, max_age_s: i64) -> Result<(), String> {
    if at_s > now_s.saturating_add(CLOCK_TOLERANCE_S) {
        return Err("it is from the future".to_owned());
    }
    if now_s.saturating_sub(at_s) > max_age_s.saturating_add(CLOCK_TOLERANCE_S) {
        return Err("it is too old".to_owned());
    }
    Ok(())
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

/// The crate's message for a parsing error can quote the response, so it is not passed on.
fn undiscovered(error: DiscoveryError<Unreachable>) -> Error {
    Error::Unavailable(match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Response(status, _, _) => format!("status {status} for its discovery document or its keys"),
        DiscoveryError::Parse(error) => {
            format!("its discovery document or its keys cannot be read at {}", error.path())
        }
        // The message has both issuers, which are public.
        DiscoveryError::Validation(error) => format!("its discovery document names another issuer: {error}"),
        _ => "its discovery document or its keys cannot be read".to_owned(),
    })
}

fn unredeemed(error: RequestTokenError<Unreachable, StandardErrorResponse<CoreErrorResponseType>>) -> Error {
    match error {
        RequestTokenError::ServerResponse(response) => Error::CodeRefused(match response.error() {
            CoreErrorResponseType::Extension(_) => "an error that OAuth 2.0 does not have".to_owned(),
            known => known.to_string(),
        }),
        RequestTokenError::Request(error) => unavailable(error),
        // What it is not cannot be told: the response may contain tokens.
        RequestTokenError::Parse(error, _) => {
            Error::Unavailable(format!("its token endpoint's answer cannot be read at {}", error.path()))
        }
        RequestTokenError::Other(_) => Error::Unavailable("its token endpoint's answer is empty".to_owned()),
    }
}

fn refused(error: &ClaimsVerificationError) -> Error {
    match error {
        // A new key may have the id of a former one, or none.
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
        ) => Error::UnknownKey,
        ClaimsVerificationError::SignatureVerification(error) => Error::TokenRefused(error.to_string()),
        error => Error::TokenRefused(error.to_string()),
    }
}
