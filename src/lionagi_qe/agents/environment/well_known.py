"""Which distribution is known to provide a module, a fixture, a mark or a setting of pytest.

A name that tests use is no proof of a distribution of the same name: anybody may publish one. So
only those listed here are ever installed without the project having declared them.
"""

from __future__ import annotations

# Module: distribution, also where the names are the same.
MODULES = {
    "PIL": "Pillow",
    "aiohttp": "aiohttp",
    "aioresponses": "aioresponses",
    "anyio": "anyio",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "django": "Django",
    "dotenv": "python-dotenv",
    "factory": "factory-boy",
    "faker": "Faker",
    "flask": "Flask",
    "freezegun": "freezegun",
    "httpx": "httpx",
    "hypothesis": "hypothesis",
    "jinja2": "Jinja2",
    "jsonschema": "jsonschema",
    "jwt": "PyJWT",
    "lxml": "lxml",
    "mock": "mock",
    "moto": "moto",
    "nose": "pynose",
    "numpy": "numpy",
    "pandas": "pandas",
    "parameterized": "parameterized",
    "pexpect": "pexpect",
    "pkg_resources": "setuptools<81",
    "pretend": "pretend",
    "psutil": "psutil",
    "pydantic": "pydantic",
    "pyfakefs": "pyfakefs",
    "pytest_asyncio": "pytest-asyncio",
    "pytest_mock": "pytest-mock",
    "pytz": "pytz",
    "requests": "requests",
    "requests_mock": "requests-mock",
    "responses": "responses",
    "respx": "respx",
    "rich": "rich",
    "scipy": "scipy",
    "setuptools": "setuptools",
    "six": "six",
    "sklearn": "scikit-learn",
    "sybil": "sybil",
    "testfixtures": "testfixtures",
    "time_machine": "time-machine",
    "tomli": "tomli",
    "trio": "trio",
    "typing_extensions": "typing-extensions",
    "vcr": "vcrpy",
    "yaml": "PyYAML",
    "zope": "zope.interface",
}
FIXTURES = {
    "aiohttp_client": "pytest-aiohttp",
    "benchmark": "pytest-benchmark",
    "django_user_model": "pytest-django",
    "freezer": "pytest-freezer",
    "fs": "pyfakefs",
    "httpbin": "pytest-httpbin",
    "httpserver": "pytest-httpserver",
    "httpx_mock": "pytest-httpx",
    "mocker": "pytest-mock",
    "requests_mock": "requests-mock",
    "respx_mock": "respx",
    "time_machine": "time-machine",
}
# Marks that tests do not run without; others are often of the project's own making.
MARKS = {
    "anyio": "anyio",
    "asyncio": "pytest-asyncio",
    "django_db": "pytest-django",
    "trio": "pytest-trio",
}
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "pytest-django",
    "asyncio_mode": "pytest-asyncio",
    "env": "pytest-env",
    "trio_mode": "pytest-trio",
}
