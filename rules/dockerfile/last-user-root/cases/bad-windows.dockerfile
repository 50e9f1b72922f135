# escape=`
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022
# want "ContainerAdministrator"
USER ContainerAdministrator
