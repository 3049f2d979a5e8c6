"""Django's settings, all derived from the checked environment (`foundation/environment.py`)."""

from typing import Any
from urllib.parse import unquote, urlsplit

from mainstay.foundation import environment as env
from mainstay.foundation.secrets import digest, secret_key
from mainstay.wings import WINGS

ENVIRONMENT = env.read()
ENVIRONMENT.home.mkdir(parents=True, exist_ok=True, mode=0o700)

BASE_URL = ENVIRONMENT.base_url
SECRET_KEY = secret_key(ENVIRONMENT)
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
_HOST = urlsplit(BASE_URL).hostname or "localhost"
# Links are made from BASE_URL alone; a name that nobody configured is refused all the same.
ALLOWED_HOSTS = sorted({_HOST, "localhost", "127.0.0.1", "[::1]", *ENVIRONMENT.hosts})
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "mainstay.foundation.processes",
    "mainstay.foundation.api",
    "mainstay.kit",
    *(wing.app for wing in WINGS),
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "mainstay.foundation.accounts.sessions.UserSessions",
    *(["allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"] if ENVIRONMENT.oidc_url else []),
]
MIDDLEWARE = [
    "mainstay.kit.security.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "mainstay.foundation.accounts.zone.TimeZone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "mainstay.kit.security.SignInRequired",
]
ROOT_URLCONF = "mainstay.desk.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
# Our own templates override allauth's, whose apps come after `mainstay.kit` in INSTALLED_APPS.
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False


# Of a connection, unless DATABASE_URL says otherwise: every wait has an end, so that what is dead is noticed and what
# hangs lets go of its locks. A server that is silent for `statement_timeout` and 5 s is given up (postgresql/base.py);
# it lets go of the locks of a client that is silent within a transaction after the same time.
POSTGRESQL = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=20s",
}


def _database() -> dict[str, Any]:
    url = ENVIRONMENT.database_url
    if url.startswith(("postgresql://", "postgres://")):
        from psycopg.conninfo import conninfo_to_dict

        given = conninfo_to_dict(url)
        options = {k: v for k, v in given.items() if k not in {"dbname", "user", "password", "host", "port"}}
        return {
            "ENGINE": "mainstay.foundation.postgresql",
            "NAME": given.get("dbname", "mainstay"),
            "USER": given.get("user", ""),
            "PASSWORD": given.get("password", ""),
            "HOST": given.get("host", ""),
            "PORT": str(given.get("port", "")),
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {**POSTGRESQL, **options},
        }
    path = unquote(urlsplit(url).path.removeprefix("/")) if url else str(ENVIRONMENT.database_file)
    return {
        "ENGINE": "mainstay.foundation.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # IMMEDIATE takes the write lock at BEGIN, so that two writers queue instead of deadlocking.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # FULL: a committed page survives a power cut, not only a killed process.
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                " PRAGMA cache_size=-16000; PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
                " PRAGMA journal_size_limit=67108864;"
            ),
        },
    }


DATABASES = {"default": _database()}

# --- signing in -------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "mainstay.foundation.accounts.signin.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "mainstay.foundation.accounts.signin.SocialAccountAdapter"
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip"}  # of wrong passwords: `AccountAdapter`
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", *(["webauthn"] if ENVIRONMENT.webauthn else [])]
MFA_PASSKEY_LOGIN_ENABLED = ENVIRONMENT.webauthn
MFA_TOTP_ISSUER = "Mainstay"
MFA_ADAPTER = "mainstay.foundation.accounts.signin.MFAAdapter"
SESSION_ENGINE = "mainstay.foundation.accounts.sessions"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": [
            {
                "provider_id": "oidc",
                "name": "single sign-on",
                "client_id": ENVIRONMENT.oidc_client_id,
                "secret": ENVIRONMENT.oidc_client_secret,
                "settings": {"server_url": ENVIRONMENT.oidc_url},
            }
        ]
    }
}
_HTTPS = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Cookies know no ports: two instances on one host must not sign each other's people out.
SESSION_COOKIE_NAME = f"mainstay_session_{ENVIRONMENT.port}"
KNOWN_COOKIE_NAME = f"mainstay_known_{ENVIRONMENT.port}"
CSRF_COOKIE_NAME = f"mainstay_csrf_{ENVIRONMENT.port}"
SESSION_COOKIE_AGE = 14 * 86400
# Strict-Transport-Security (RFC 6797), for this host name alone: other names below it and the lists that browsers are
# shipped with (security.W005, W021) are not ours to decide on. TLS ends at a proxy, which redirects to it (W008).
SECURE_HSTS_SECONDS = int(ENVIRONMENT.hsts_s) if _HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = ["models.W036", "models.W037", "security.W005", "security.W008", "security.W021"]

# Sign-in throttling must hold across processes and restarts, so its counters live in the database.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},  # beyond it counters are forgotten, so many tries must not get there soon
    }
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
INSTANCE = digest(SECRET_KEY)[:8]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "mainstay.foundation.processes.log.LineFormatter"}},
    "filters": {"clients": {"()": "mainstay.foundation.processes.log.ClientMistakes"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["clients"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "allauth": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
        "apprise": {"level": "CRITICAL"},
    },
}
